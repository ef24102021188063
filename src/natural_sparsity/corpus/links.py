"""What a MediaWiki link shows."""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Codes of the Wikipedias, closed ones and other spellings included. A link to one of them stands beside the page.
LANGUAGES = _words("""
    aa ab ace ady af ak als alt am ami an ang ann anp ar arc ary arz as ast atj av avk awa ay az azb ba ban bar bat-smg
    bbc bcl bdr be be-tarask be-x-old bew bg bh bho bi bjn blk bm bn bo bpy br bs btm bug bxr ca cbk-zam cdo ce ceb ch
    cho chr chy ckb cmn co cr crh cs csb cu cv cy cz da dag de dga din diq dk dsb dtp dty dv dz ee egl el eml en eo epo
    es et eu ext fa fat ff fi fiu-vro fj fo fon fr frp frr fur fy ga gag gan gcr gd gl glk gn gom gor got gpe gsw gu guc
    gur guw gv ha hak haw he hi hif ho hr hsb ht hu hy hyw hz ia iba id ie ig igl ii ik ilo inh io is it iu ja jam jbo
    jp jv ka kaa kab kaj kbd kbp kcg kg kge ki kj kk kl km kn knc ko koi kr krc ks ksh ku kus kv kw ky la lad lb lbe lez
    lfn lg li lij lld lmo ln lo lrc lt ltg lv lzh mad mai map-bms mdf mg mh mhr mi min minnan mk ml mn mni mnw mo mos mr
    mrj ms mt mul mus mwl my myv mzn na nah nan nap nb nds nds-nl ne new ng nia nl nn no nov nqo nr nrm nso nup nv ny oc
    olo om or os pa pag pam pap pcd pcm pdc pfl pi pih pl pms pnb pnt ps pt pwn qu rm rmy rn ro roa-rup roa-tara rsk ru
    rue rup rw sa sah sat sc scn sco sd se sg sgs sh shi shn si simple sk skr sl sm smn sn so sq sr srn ss st stq su sv
    sw syl szl szy ta tay tcy tdd te tet tg th ti tig tk tl tly tn to tokipona tpi tr trv ts tt tum tw ty tyv udm ug uk
    ur uz ve vec vep vi vls vo vro wa war wo wuu xal xh xmf yi yo yue za zea zgh zh zh-cfr zh-classical zh-cn
    zh-min-nan zh-tw zh-yue zu
""")
FILES = _words("""
    file image fichier datei bild archivo imagen ficheiro arquivo imagem immagine bestand afbeelding fil billede bilde
    tiedosto kuva plik grafika soubor súbor fájl kép dosya resim fișier fişier imagine fitxer imatge fitxategi irudi
    ficheru berkas fail datoteka slika dosiero skedë skeda vaizdas attēls íomhá delwedd restr mynd файл изображение
    зображення картинка слика датотека выява αρχείο εικόνα պատկեր קובץ תמונה ملف صورة پرونده تصویر चित्र ছবি চিত্র படிமம்
    దస్త్రం ไฟล์ ภาพ ファイル 画像 文件 檔案 档案 图像 圖像 图片 圖片 파일 그림
""") | {"tập tin", "hình"}
CATEGORIES = _words("""
    category catégorie kategorie categoría categoria categorie kategori kategoria kategorija kategória kategorio
    kategooria luokka flokkur bólkur kategoriya категория категорія катэгорыя категорија κατηγορία կատեգորիա קטגוריה
    تصنيف رده زمرہ श्रेणी বিষয়শ্রেণী பகுப்பு వర్గం หมวดหมู่ カテゴリ 分类 分類 분류
""") | {"thể loại"}
# A file, whatever the wiki calls its namespace; not one that another wiki holds, as in [[commons:Cat.jpg|a cat]].
FILE_NAME = re.compile(r"[^:]+:[^:]+\.(?:jpe?g|png|gif|svg|tiff?|og[gv]|webm|pdf)\s*", re.IGNORECASE)
ELSEWHERE = frozenset({"media", "c", "commons", "d", "m", "meta", "n", "q", "s", "v", "w", "wikipedia", "wikisource"})


def drop_kind(target: str) -> str | None:
    """Return what a link is that shows nothing in the running text, one of ``markup.KINDS``, or None if it does.

    As MediaWiki does, a link to a language shows nothing even if it has a label, but one to another project does; a
    colon before the target makes an ordinary link of any; and a prefix that is no namespace or language belongs to the
    title, as in ``Re:Zero``.
    """
    if ":" not in target:
        return None
    prefix = target.partition(":")[0].strip().replace("_", " ").lower()
    if prefix in LANGUAGES:
        return "interlanguage links"
    if prefix in CATEGORIES:
        return "categories"
    if prefix in FILES or (prefix and prefix not in ELSEWHERE and FILE_NAME.fullmatch(target)):
        return "files and images"
    return None
